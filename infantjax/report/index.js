"use strict";
(() => {
  // The table is complete without this script, which sorts it by the column of a button; unknown values come last.
  const body = document.querySelector("table.index tbody");
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
  };
  for (const button of document.querySelectorAll("table.index th button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement, column = head.cellIndex;
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const compare = (a, b) => {
        const [left, right] = [value(a, column), value(b, column)];
        if (!left || !right) return left ? -1 : right ? 1 : 0;
        return sign * (head.classList.contains("number") ? left - right : left.localeCompare(right, "en", { numeric: true }));
      };
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...[...body.rows].sort(compare));
    });
  }
  document.documentElement.dataset.ready = "true";
})();

"use strict";
(() => {
  // The page is complete without this script; it adds the animation and reads the chart. The data attributes
  // on the root element say that it is ready, and what went wrong if anything did.
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = event.message; });
  document.addEventListener("securitypolicyviolation", (event) => { root.dataset.blocked = event.violatedDirective; });

  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const figure = (value) => (value === null ? "–" : value.toFixed(2));
  const clock = (seconds, digits) => {
    const total = Number(seconds.toFixed(digits));
    const minutes = Math.floor(total / 60);
    const rest = (total - 60 * minutes).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
    return minutes < 60 ? minutes + ":" + rest
      : Math.floor(minutes / 60) + ":" + String(minutes % 60).padStart(2, "0") + ":" + rest;
  };

  // Positions: int16 in 1/16 of a drawing unit, [frame, joint, 2], little-endian; -32768 is missing.
  const bytes = Uint8Array.from(atob(data.movement.positions), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const { frames, joints, fps, missing } = data.movement;
  const stored = (frame, joint, axis) => {
    const value = view.getInt16(2 * ((frame * joints + joint) * 2 + axis), true);
    return value === missing ? NaN : value / 16;
  };
  const position = (time, joint) => {
    const at = Math.min(Math.max(time * fps, 0), frames - 1);
    const before = Math.floor(at), after = Math.min(before + 1, frames - 1), part = at - before;
    const mix = (axis) => stored(before, joint, axis) * (1 - part) + stored(after, joint, axis) * part;
    return [mix(0), mix(1)];
  };

  const player = find("#player"), slider = find("#time"), speed = find("#speed"), button = find("#play");
  const plot = find("#plot"), cursors = all(".cursor"), hover = find("#hover"), readout = find("#readout");
  const bones = all("#pose .bone"), dots = all("#pose .joint"), trails = all("#pose .trail");
  const last = frames ? (frames - 1) / fps : 0;
  let now = 0, playing = false, stamp = null;

  const set = (element, values) => {
    const whole = Object.values(values).every(Number.isFinite);
    element.style.visibility = whole ? "" : "hidden";
    if (whole) for (const [key, value] of Object.entries(values)) element.setAttribute(key, value.toFixed(1));
  };
  const drawPose = () => {
    if (!frames) return;
    const points = Array.from({ length: joints }, (_, joint) => position(now, joint));
    for (const bone of bones) {
      const [a, b] = [points[bone.dataset.from], points[bone.dataset.to]];
      set(bone, { x1: a[0], y1: a[1], x2: b[0], y2: b[1] });
    }
    for (const dot of dots) set(dot, { cx: points[dot.dataset.joint][0], cy: points[dot.dataset.joint][1] });
    for (const trail of trails) {
      const path = [];
      for (let back = 1.2; back >= 0; back -= 1 / 20) {
        const [x, y] = position(now - back, Number(trail.dataset.joint));
        if (now - back >= 0 && Number.isFinite(x)) path.push(x.toFixed(1) + "," + y.toFixed(1));
      }
      trail.setAttribute("points", path.join(" "));
    }
  };

  const windowAt = (time) => {
    let best = 0;
    data.windows.forEach((w, i) => {
      const middle = (k) => Math.abs(data.windows[k].start + data.length / 2 - time);
      if (middle(i) < middle(best)) best = i;
    });
    return data.windows[best];
  };
  const read = (time) => {
    const w = windowAt(time);
    if (!w || !plot) return;
    const parts = [
      ["Window", clock(w.start, 1) + " to " + clock(w.start + data.length, 1)],
      ["Median", figure(w.median)],
      ["Quartiles", figure(w.q1) + " to " + figure(w.q3)],
    ].map(([label, value]) => {
      const part = document.createElement("span"), strong = document.createElement("b");
      strong.textContent = value;
      part.append(label + " ", strong);
      return part;
    });
    if (!w.usable) parts.push("left out");
    if (w.certainty) {
      const level = document.createElement("span"), dot = document.createElement("i");
      level.className = w.certainty;
      dot.className = "dot";
      level.append(dot, data.labels[w.certainty]);
      parts.push(level);
    }
    readout.replaceChildren(...parts);
    hover.style.left = (100 * w.start) / data.duration + "%";
    hover.style.width = (100 * data.length) / data.duration + "%";
  };
  const show = (time) => {
    now = Math.min(Math.max(time, 0), Math.max(last, 0));
    slider.value = String(Math.round(now * fps));
    slider.setAttribute("aria-valuetext", clock(now, 1) + " of " + clock(last, 1));
    find("#clock").textContent = clock(now, 1);
    for (const cursor of cursors) {
      cursor.style.left = (100 * now) / data.duration + "%";
      cursor.hidden = false;
    }
    drawPose();
    read(now);
  };

  // The video, where there is one that this browser plays, leads; else the script counts the time itself.
  const film = find("#film");
  // While it seeks it has its metadata only.
  const leads = () => film && film.readyState > 0 && !film.error;
  const seek = (time) => {
    show(time);
    if (leads()) film.currentTime = now;
  };
  const step = (time) => {
    if (!playing) return;
    const passed = stamp === null ? 0 : Math.min((time - stamp) / 1000, 0.25);
    stamp = time;
    show(leads() ? film.currentTime : now + passed * Number(speed.value));
    if (now >= last) play(false);
    else requestAnimationFrame(step);
  };
  const play = (on) => {
    if (playing === (on && frames > 1)) return;
    playing = on && frames > 1;
    stamp = null;
    player.classList.toggle("playing", playing);
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    if (playing && now >= last) seek(0);
    if (leads()) {
      film.playbackRate = Number(speed.value);
      if (playing) film.play().catch(() => play(false));
      else film.pause();
    }
    if (playing) requestAnimationFrame(step);
  };
  if (film) {
    film.addEventListener("error", () => { find("#unplayed").hidden = false; });
    film.addEventListener("loadedmetadata", () => {
      film.currentTime = now;
      if (playing) film.play().catch(() => play(false));
    });
    film.addEventListener("play", () => play(true));
    film.addEventListener("pause", () => play(false));
    film.addEventListener("timeupdate", () => { if (!playing) show(film.currentTime); });
    speed.addEventListener("change", () => { film.playbackRate = Number(speed.value); });
  }

  button.addEventListener("click", () => play(!playing));
  slider.addEventListener("input", () => seek(Number(slider.value) / fps));
  const timeAt = (event) => {
    const box = plot.getBoundingClientRect();
    return data.duration * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  // The page of a recording that is not assessable has no chart.
  if (plot) {
    plot.addEventListener("pointermove", (event) => {
      hover.hidden = false;
      if (event.buttons) seek(timeAt(event));
      else read(timeAt(event));
    });
    plot.addEventListener("pointerdown", (event) => seek(timeAt(event)));
    plot.addEventListener("pointerleave", () => { hover.hidden = true; read(now); });
  }

  const place = () => {
    const wanted = /^#t=([0-9.]+)$/.exec(location.hash);
    seek(wanted ? Number(wanted[1]) || 0 : 0);
  };
  window.addEventListener("hashchange", place);
  place();
  root.dataset.ready = "true";
})();

// What the page remembers from one visit to the next. A browser may forbid that (site data blocked, a
// frame of another site), and then throws at the first touch: the game is played without memory.

const DEVICE = "throng.device";
const areas = { session: () => sessionStorage, browser: () => localStorage };

// What was kept under a word; null: nothing, or memory is forbidden.
export function recall(area, word) {
  try {
    return areas[area]().getItem(word);
  } catch {
    return null;
  }
}

// Keeps a text under a word, or forgets it for null. Whether it will be there again is not known.
export function keep(area, word, text) {
  try {
    if (text === null) areas[area]().removeItem(word);
    else areas[area]().setItem(word, text);
  } catch {
    // Forbidden, or full: what is not kept is made anew.
  }
}

// A word that stays the same in this browser, so that a log-in from here may replace one from here;
// where nothing may be kept, for as long as the page is open.
let known = "";
export function device() {
  known ||= recall("browser", DEVICE) ?? "";
  if (!known) {
    known = `web-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
    keep("browser", DEVICE, known);
  }
  return known;
}

/** When freezes hold; apart from the kinds, as few processes need rules of recurrence. */
export { windowState, type WindowState } from "./window-state.ts";
export { instantOf } from "./zoned-time.ts";

/** The evaluation of freeze windows. It is separate from the kinds, because few processes need recurrence rules. */
export { windowState, type WindowState } from "./window-state.ts";

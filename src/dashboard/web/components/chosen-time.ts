import { place } from "../router.ts";

const defaultWindowSeconds = 60;

/** The window and the moment that the link names. An `atMs` of 0 means now. */
export function chosenTime(): { readonly windowSeconds: number; readonly atMs: number } {
  const { window = "", at = "" } = place.value.query;
  const windowSeconds = Number(window);
  const atMs = Number(at);
  return {
    windowSeconds: Number.isFinite(windowSeconds) && windowSeconds > 0 ? windowSeconds : defaultWindowSeconds,
    atMs: Number.isFinite(atMs) && atMs > 0 ? atMs : 0,
  };
}

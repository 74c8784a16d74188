import { computed, signal, type ReadonlySignal } from "@preact/signals";
import { formatPlace, parsePlace, placeFrom, withQuery, type Place } from "./place.ts";

/** The link from which the current place was read. */
let link = location.hash;
const current = signal<Place>(parsePlace(link));
addEventListener("hashchange", () => {
  link = location.hash;
  current.value = parsePlace(link);
});

/**
 * The current place. It contains the view and its state (namespaces, filters, time), so that its link restores the same
 * view.
 */
export const place: ReadonlySignal<Place> = current;

/** The link to another view, which keeps namespaces and time. */
export function linkTo(path: readonly string[], query: Readonly<Record<string, string>> = {}): string {
  return formatPlace(placeFrom(current.value, path, query));
}

/** Goes to a link of {@link linkTo}, or of a view's `page` field. */
export function go(link: string): void {
  location.hash = link.startsWith("#") ? link : `#${link}`;
}

/**
 * Changes parameters of this view. Replaces the entry in the browser's history, unless the back button should undo the
 * change. Changes nothing if the person has already left the view, and the browser is about to report that.
 */
export function setQuery(
  changes: Readonly<Record<string, string | undefined>>,
  how: "replace" | "push" = "replace",
): void {
  if (location.hash !== link) return;
  const next = withQuery(current.value, changes);
  const changed = formatPlace(next);
  if (changed === formatPlace(current.value)) return;
  if (how === "push") history.pushState(null, "", changed);
  else history.replaceState(null, "", changed);
  link = location.hash;
  current.value = next;
}

/** A parameter of the current view. Empty if it is not set. */
export function queryParameter(name: string): ReadonlySignal<string> {
  return computed(() => current.value.query[name] ?? "");
}

/** The chosen namespaces, separated by commas. Empty means all. */
export const chosenNamespaces: ReadonlySignal<string> = queryParameter("ns");

import { computed, signal, type ReadonlySignal } from "@preact/signals";
import { formatPlace, parsePlace, placeFrom, withQuery, type Place } from "./place.ts";

/** The link from which `current` was read. */
let link = location.hash;
const current = signal<Place>(parsePlace(link));
addEventListener("hashchange", () => {
  link = location.hash;
  current.value = parsePlace(link);
});

/**
 * Where the page is. The link contains the view and its state (namespaces, filters, time), so that it leads to the same
 * view again.
 */
export const place: ReadonlySignal<Place> = current;

/** A link to another view. It keeps the namespaces and the time. */
export function linkTo(path: readonly string[], query: Readonly<Record<string, string>> = {}): string {
  return formatPlace(placeFrom(current.value, path, query));
}

/** Follows a link of {@link linkTo}, or one that a view has in its field `page`. */
export function go(link: string): void {
  location.hash = link.startsWith("#") ? link : `#${link}`;
}

/**
 * Changes parameters of this view. Replaces the entry in the browser's history, unless the back button should undo the
 * change (`push`). Does nothing if the user has already left the view, and the browser has not reported that yet.
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

/** A parameter of the present view. Empty if it is not set. */
export function queryParameter(name: string): ReadonlySignal<string> {
  return computed(() => current.value.query[name] ?? "");
}

/** Separated by commas. Empty means all. */
export const chosenNamespaces: ReadonlySignal<string> = queryParameter("ns");

/** A choice that the browser remembers. Undefined if there is none, or no storage. */
export function storedChoice(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Lets the browser remember a choice. Without storage, the choice lasts until the page is closed. */
export function storeChoice(key: string, choice: string): void {
  try {
    localStorage.setItem(key, choice);
  } catch {
    // There is no storage, or it is full.
  }
}

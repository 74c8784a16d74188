/** Reads a choice that the browser remembers. Undefined if the user has made none, or if there is no storage. */
export function storedChoice(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Lets the browser remember a choice. Without storage, the choice lasts only while the page is open. */
export function storeChoice(key: string, choice: string): void {
  try {
    localStorage.setItem(key, choice);
  } catch {
    // The browser refuses storage, or its storage is full.
  }
}

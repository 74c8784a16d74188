/** Reads a choice that the browser remembers. Returns undefined if the person has made none, or without storage. */
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
    // The browser refuses storage, or has no room.
  }
}

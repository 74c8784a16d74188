/** What a search field shows, and the text that it last passed on to the page. */
export interface SearchDraft {
  readonly text: string;
  readonly passedOn: string;
}

/**
 * The draft after the page's value has changed. If the page filters slowly, the value may be a text that the field
 * passed on before the user typed more. Such a value changes nothing. Any other value replaces what the user has typed:
 * the back button may have restored it.
 */
export function withValue(draft: SearchDraft, value: string): SearchDraft {
  return value === draft.passedOn ? draft : { text: value, passedOn: value };
}

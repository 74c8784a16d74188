/** The text that a search field shows, and the text that it last passed to the page. */
export interface SearchDraft {
  readonly text: string;
  readonly passedOn: string;
}

/**
 * The draft after the page's value has changed. If the page filters slowly, its value may be the text that the field
 * passed on before the user typed more. Such a value changes nothing. Any other value, such as one that the back button
 * restores, replaces what the user has typed.
 */
export function withValue(draft: SearchDraft, value: string): SearchDraft {
  return value === draft.passedOn ? draft : { text: value, passedOn: value };
}

/** What a field shows, and the text that it has passed on last. */
export interface SearchDraft {
  readonly text: string;
  readonly passedOn: string;
}

/**
 * The draft after the page has a new value. The field's own text may come back only after the user has typed more, if
 * the page takes long to filter. Only a value of others, such as of the back button, replaces what the user has typed.
 */
export function withValue(draft: SearchDraft, value: string): SearchDraft {
  return value === draft.passedOn ? draft : { text: value, passedOn: value };
}

/** The position of a captured header in the records of a listener. */
export interface CaptureIndex {
  readonly request: ReadonlyMap<string, number>;
  readonly response: ReadonlyMap<string, number>;
}

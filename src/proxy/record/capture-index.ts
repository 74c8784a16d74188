/** Where the records of a listener contain each captured header: its position by its name. */
export interface CaptureIndex {
  readonly request: ReadonlyMap<string, number>;
  readonly response: ReadonlyMap<string, number>;
}

/** The index of records that have no captured headers. */
export const noCapture: CaptureIndex = { request: new Map(), response: new Map() };

/** The position of a captured header in the records of a listener. */
export interface CaptureIndex {
  readonly request: ReadonlyMap<string, number>;
  readonly response: ReadonlyMap<string, number>;
}

/** For records that have no captured headers. */
export const noCapture: CaptureIndex = { request: new Map(), response: new Map() };

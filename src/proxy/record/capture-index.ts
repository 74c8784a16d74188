/** Where the records of a listener contain each captured header: its position by its name. */
export interface CaptureIndex {
  readonly request: ReadonlyMap<string, number>;
  readonly response: ReadonlyMap<string, number>;
}

export const noCapture: CaptureIndex = { request: new Map(), response: new Map() };

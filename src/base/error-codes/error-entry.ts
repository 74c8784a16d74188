/** The meaning of an error code, and the remedy. */
export interface ErrorEntry {
  readonly meaning: string;
  readonly remedy: string;
  /** The command line does not print the remedy, because the message says as much. */
  readonly silent?: true;
}

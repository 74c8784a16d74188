/** What an error code means, and what a person can do. */
export interface ErrorEntry {
  readonly meaning: string;
  readonly remedy: string;
  /** The command line does not print the remedy, because the message says as much. */
  readonly silent?: true;
}

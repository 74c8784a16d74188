export interface ErrorEntry {
  readonly meaning: string;
  readonly remedy: string;
  /** Set if the command line does not print the remedy, because the message already contains it. */
  readonly silent?: true;
}

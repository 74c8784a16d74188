export interface AnswerLimits {
  /** The time limit without any data. */
  readonly silenceMs: number;
  /** The time limit of the whole answer. */
  readonly answerMs: number;
}

export interface SessionLimits extends AnswerLimits {
  /** A session without a question for this long ends. */
  readonly idleMs: number;
  /** The time limit of the TLS handshake. */
  readonly handshakeMs: number;
  /** The time limit of a sign of life, after a question stayed unanswered. */
  readonly pingMs: number;
}

/** Release 0.1.0 of Serin's pilots lets questions wait while its model settles, which takes seconds in a large mesh. */
export const usualLimits: SessionLimits = {
  silenceMs: 10_000,
  answerMs: 30_000,
  idleMs: 10_000,
  handshakeMs: 2000,
  pingMs: 2000,
};

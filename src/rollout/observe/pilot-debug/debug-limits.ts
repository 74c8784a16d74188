export interface AnswerLimits {
  /** The longest time in which no data may arrive. */
  readonly silenceMs: number;
  /** The time limit of the whole answer. */
  readonly answerMs: number;
}

export interface SessionLimits extends AnswerLimits {
  /** The time without a request after which a session ends. */
  readonly idleMs: number;
  /** The time limit of the TLS handshake. */
  readonly handshakeMs: number;
  /** How long to wait for a sign of life after a request stayed unanswered. */
  readonly pingMs: number;
}

/** Release 0.1.0 of Serin's pilots lets requests wait while its model settles, which takes seconds in a large mesh. */
export const usualLimits: SessionLimits = {
  silenceMs: 10_000,
  answerMs: 30_000,
  idleMs: 10_000,
  handshakeMs: 2000,
  pingMs: 2000,
};

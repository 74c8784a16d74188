/** The responses of an edge that have the same status, as the panel draws them. */
export interface ShareOfAnswers {
  /** The status, with the response flags of a proxy that answered itself: `503 UF`. */
  readonly code: string;
  readonly rate: number;
  readonly share: number;
  readonly tone: "good" | "warn" | "bad";
}

/** Orders an edge's responses by their rate, the most frequent first. */
export function sharesOfAnswers(rates: Readonly<Record<string, number>>): readonly ShareOfAnswers[] {
  const total = Object.values(rates).reduce((sum, rate) => sum + rate, 0);
  return Object.entries(rates)
    .sort(([, a], [, b]) => b - a)
    .map(([code, rate]) => ({ code, rate, share: total === 0 ? 0 : rate / total, tone: toneOf(code) }));
}

/**
 * The tone of a status. 0 means that no response came. A flag after the status means that a proxy answered in place of
 * the destination.
 */
function toneOf(code: string): ShareOfAnswers["tone"] {
  if (/^[05]|\s/.test(code)) return "bad";
  return code.startsWith("4") ? "warn" : "good";
}

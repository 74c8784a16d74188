export interface ShareOfAnswers {
  /** The status. If a proxy answered itself, its response flags follow: `503 UF`. */
  readonly code: string;
  readonly rate: number;
  readonly share: number;
  readonly tone: "good" | "warn" | "bad";
}

/** An edge's responses, the most frequent first. */
export function sharesOfAnswers(rates: Readonly<Record<string, number>>): readonly ShareOfAnswers[] {
  const total = Object.values(rates).reduce((sum, rate) => sum + rate, 0);
  return Object.entries(rates)
    .sort(([, a], [, b]) => b - a)
    .map(([code, rate]) => ({ code, rate, share: total === 0 ? 0 : rate / total, tone: toneOf(code) }));
}

/**
 * The tone of a status. 0 means that there was no response. A flag after the status means that a proxy answered in
 * place of the destination.
 */
function toneOf(code: string): ShareOfAnswers["tone"] {
  if (/^[05]|\s/.test(code)) return "bad";
  return code.startsWith("4") ? "warn" : "good";
}

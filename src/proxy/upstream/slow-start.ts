/** How a new endpoint's weight grows (Envoy's slow start). */
export interface SlowStart {
  readonly windowMs: number;
  /** 1: in proportion to time; greater: quickly at first. */
  readonly aggression: number;
  /** From 0 to 1, of its weight. */
  readonly minFraction: number;
}

/** An endpoint's weight `ageMs` after it came. */
export function warmedWeight({ windowMs, aggression, minFraction }: SlowStart, weight: number, ageMs: number): number {
  if (ageMs >= windowMs) return weight;
  const time = Math.max(ageMs, 1000) / windowMs;
  return weight * Math.max(minFraction, Math.min(1, time) ** (1 / aggression));
}

/** How a new endpoint's weight grows, as Envoy's slow start. */
export interface SlowStart {
  readonly windowMs: number;
  /** 1 means in proportion to time. Higher values grow faster at first. */
  readonly aggression: number;
  /** The initial fraction of the weight, from 0 to 1. */
  readonly minFraction: number;
}

/** An endpoint's weight `ageMs` after it was added. */
export function warmedWeight({ windowMs, aggression, minFraction }: SlowStart, weight: number, ageMs: number): number {
  if (ageMs >= windowMs) return weight;
  const time = Math.max(ageMs, 1000) / windowMs;
  return weight * Math.max(minFraction, Math.min(1, time) ** (1 / aggression));
}

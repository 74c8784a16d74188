/** How a new endpoint's weight grows, as Envoy's slow start. */
export interface SlowStart {
  readonly windowMs: number;
  /** The shape of the growth. 1 means in proportion to time. Higher values grow faster at first. */
  readonly aggression: number;
  /** The fraction of its weight, from 0 to 1, with which an endpoint begins. */
  readonly minFraction: number;
}

export function warmedWeight({ windowMs, aggression, minFraction }: SlowStart, weight: number, ageMs: number): number {
  if (ageMs >= windowMs) return weight;
  const time = Math.max(ageMs, 1000) / windowMs;
  return weight * Math.max(minFraction, Math.min(1, time) ** (1 / aggression));
}

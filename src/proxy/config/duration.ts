export interface DurationLike {
  readonly seconds: bigint;
  readonly nanos: number;
}

export function durationMs(duration: DurationLike): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

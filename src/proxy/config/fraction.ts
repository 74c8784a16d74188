import { FractionalPercent_DenominatorType, type FractionalPercent } from "../../wire/envoy/index.ts";

const denominators: Readonly<Record<number, number>> = {
  [FractionalPercent_DenominatorType.HUNDRED]: 100,
  [FractionalPercent_DenominatorType.TEN_THOUSAND]: 10_000,
  [FractionalPercent_DenominatorType.MILLION]: 1_000_000,
};

/** The denominator of a percentage: 100, 10,000 or 1,000,000. It is 100 if there is no percentage. */
export function denominatorOf(percent: FractionalPercent | undefined): number {
  return denominators[percent?.denominator ?? FractionalPercent_DenominatorType.HUNDRED] ?? 100;
}

/** A fraction from 0 to 1, or `fallback` if it is not set. */
export function fractionOf(percent: FractionalPercent | undefined, fallback: number): number {
  return percent === undefined ? fallback : Math.min(1, percent.numerator / denominatorOf(percent));
}

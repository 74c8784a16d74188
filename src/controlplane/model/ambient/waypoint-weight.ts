/** The largest weight of a waypoint. Weights are percentages. */
export const fullWeight = 100;

/** Reads a weight. Undefined unless the text is a whole number from 0 to 100. */
export function weightOf(text: string): number | undefined {
  if (!/^\d{1,3}$/.test(text)) return undefined;
  const weight = Number(text);
  return weight <= fullWeight ? weight : undefined;
}

/** Header fields as pairs, in order. Names are in lower case. Pseudo headers are included if they matter. */
export type Headers = readonly (readonly [name: string, value: string])[];

/** The first value of a header. Undefined if it is absent. */
export function headerValue(headers: Headers, name: string): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}

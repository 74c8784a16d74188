/** Header fields as pairs, in order; names in lower case, pseudo headers included where they matter. */
export type Headers = readonly (readonly [name: string, value: string])[];

/** The first value of a header, if it is there. */
export function headerValue(headers: Headers, name: string): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}

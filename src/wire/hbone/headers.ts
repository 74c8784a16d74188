/** Header fields in their order, with names in lower case. They include pseudo headers where those matter. */
export type Headers = readonly (readonly [name: string, value: string])[];

export function headerValue(headers: Headers, name: string): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}

/** The coding that one compressor filter of a response offers. A list of them has the order of the filters. */
export interface OfferedCoding {
  readonly coding: string;
  /** Whether this coding is preferred to others of the same quality value. */
  readonly chosenFirst: boolean;
}

/** The coding of a response, and which part of `accept-encoding` decided it. */
export interface CodingChoice {
  /** The chosen coding. If undefined, the response stays as it is. */
  readonly coding: string | undefined;
  readonly by: "coding" | "identity" | "wildcard" | "nothing";
}

const nothing: CodingChoice = { coding: undefined, by: "nothing" };

/** The members of a comma-separated list, without surrounding spaces and empty members. */
export function listMembers(list: string): string[] {
  return list
    .split(",")
    .map((member) => member.trim())
    .filter((member) => member !== "");
}

export function forbidsTransform(cacheControl: string | undefined): boolean {
  return listMembers(cacheControl ?? "").some((member) => member.toLowerCase() === "no-transform");
}

/** Chooses, as Envoy does, the offered coding that has the highest weight in `accept-encoding`. */
export function chooseCoding(acceptEncoding: string, offered: readonly OfferedCoding[]): CodingChoice {
  const allowed = new Map<string, OfferedCoding>();
  for (const offer of offered) if (!allowed.has(offer.coding)) allowed.set(offer.coding, offer);
  const wanted = acceptEncoding.split(",").flatMap(readCoding);
  for (const { coding, weight } of wanted) if (weight === 0) allowed.delete(coding);
  if (allowed.size === 0) return nothing;
  let best = "identity";
  let bestWeight = 0;
  for (const { coding, weight } of wanted) {
    const offer = allowed.get(coding);
    if (offer === undefined && coding !== "identity" && coding !== "*") continue;
    if (weight < bestWeight || (weight === bestWeight && offer?.chosenFirst !== true)) continue;
    best = coding;
    bestWeight = weight;
  }
  if (bestWeight === 0) return nothing;
  if (best === "identity") return { coding: undefined, by: "identity" };
  if (best !== "*") return { coding: best, by: "coding" };
  const [first] = allowed.keys();
  return { coding: first, by: "wildcard" };
}

/**
 * One member of the list with its weight. Returns an empty list if the member has no coding, or a weight that is not a
 * number.
 */
function readCoding(member: string): { readonly coding: string; readonly weight: number }[] {
  const [coding = "", parameter] = member.split(/;(.*)/s).map((part) => part.trim());
  if (coding === "") return [];
  const [, text] = /^q\s*=(.*)$/is.exec(parameter ?? "") ?? [];
  const weight = text === undefined ? 1 : text.trim() === "" ? NaN : Number(text);
  return Number.isNaN(weight) ? [] : [{ coding, weight }];
}

import type { RateLimit_HitsAddend } from "../../../wire/envoy/index.ts";
import type { DescribedRequest, DescriptorHits } from "../../routing/route.ts";
import { invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileHeaderValue } from "../header-value-config.ts";

/** The most hits that one request may count as, as in Envoy. */
const maxHits = 1_000_000_000;

/**
 * Returns the number of hits that a request counts as. Returns undefined if the request has no valid number of hits;
 * the descriptor that needs the number is then left out.
 */
type HitsOf = (request: DescribedRequest) => DescriptorHits | undefined;

export function compileHits(message: RateLimit_HitsAddend, where: string, notes: ConfigNotes): HitsOf {
  const { number, format, isNegativeHits: refills } = message;
  const here = `${where}.hitsAddend`;
  if ((number === undefined) === (format === "")) throw invalid(here, "either number or format must be set");
  if (number !== undefined) {
    if (number > maxHits) throw invalid(here, `number must be at most ${maxHits}, got ${number}`);
    const hits = { count: Number(number), refills };
    return () => hits;
  }
  const operator = /^%([A-Z0-9_]+)(?:\([^)]*\))?(?::\d+)?%$/.exec(format)?.[1];
  if (operator === undefined) throw invalid(here, "format must be exactly one operator, such as %REQ(x-cost)%");
  // Refuse other operators: most of them describe the response, which does not exist yet.
  if (operator !== "REQ" && operator !== "DYNAMIC_METADATA") throw unsupported(here, `the format ${format}`);
  const value = compileHeaderValue(format, "request", here, notes);
  return (request) => {
    const count = hitsIn(value(request.valueContext(undefined)));
    return count === undefined ? undefined : { count, refills };
  };
}

/** Parses the texts that Envoy accepts as a number. As in Envoy, NaN counts as no hits. */
function hitsIn(text: string): number | undefined {
  const trimmed = text.trim();
  if (/^[+-]?nan$/i.test(trimmed)) return 0;
  if (!/^[+-]?(?:0x[\da-f]+|(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)$/i.test(trimmed)) return undefined;
  const value = Number(trimmed.replace(/^\+/, ""));
  return value >= 0 && value <= maxHits ? Math.floor(value) : undefined;
}

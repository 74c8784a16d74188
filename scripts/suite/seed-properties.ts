// Files with property tests load this first. It fixes the seed, so that the same tree gives the same result.
// `SERIN_PROPERTY_SEED=random`, or the seed of a report, tries other values.
import { configureGlobal, readConfigureGlobal } from "fast-check";

const wanted = process.env["SERIN_PROPERTY_SEED"] ?? "1";

if (wanted !== "random") {
  const seed = Number(wanted);
  if (!Number.isSafeInteger(seed)) throw new Error(`SERIN_PROPERTY_SEED is ${wanted}; give a whole number, or random`);
  configureGlobal({ ...readConfigureGlobal(), seed });
}

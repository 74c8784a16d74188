// Files with property tests load this first. It fixes the seed, so that the same tree gives the same result.
// `SERIN_PROPERTY_SEED=random` tries other values, and a seed from a report tries the values of that run.
import { configureGlobal, readConfigureGlobal } from "fast-check";

const wanted = process.env["SERIN_PROPERTY_SEED"] ?? "1";

if (wanted !== "random") {
  const seed = Number(wanted);
  if (!Number.isSafeInteger(seed)) throw new Error(`SERIN_PROPERTY_SEED is ${wanted}; give a whole number, or random`);
  configureGlobal({ ...readConfigureGlobal(), seed });
}

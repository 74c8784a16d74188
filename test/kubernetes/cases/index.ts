import type { Case } from "../bench.ts";
import { bookinfoCase } from "./bookinfo.ts";
import { installCase } from "./install.ts";

/** In the order in which they run. */
export const allCases: readonly Case[] = [installCase, bookinfoCase];

import type { Exchange } from "../exchange.ts";
import { access } from "./access.ts";
import { custom } from "./custom.ts";
import { objects } from "./objects.ts";
import { patching } from "./patching.ts";
import { paths } from "./paths.ts";
import { reading } from "./reading.ts";
import { streaming } from "./streaming.ts";
import { writing } from "./writing.ts";

/** The requests are sent in this order, because later ones use objects of earlier ones. */
export const corpus: Readonly<Record<string, readonly Exchange[]>> = {
  objects,
  reading,
  streaming,
  patching,
  writing,
  custom,
  access,
  paths,
};

import type { KindDefinition } from "../kind.ts";
import { canaryKind } from "./canary.ts";
import { checkKind } from "./check.ts";
import { freezeKind } from "./freeze.ts";
import { meshUpgradeKind } from "./mesh-upgrade.ts";

/** The kinds of the rollout engine that people write, with their parsers. */
export const rolloutKinds: readonly KindDefinition[] = [canaryKind, meshUpgradeKind, checkKind, freezeKind];

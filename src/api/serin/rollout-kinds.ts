import type { KindDefinition } from "../kind.ts";
import { canaryKind } from "./canary.ts";
import { checkKind } from "./check.ts";
import { freezeKind } from "./freeze.ts";
import { meshUpgradeKind } from "./mesh-upgrade.ts";

export const rolloutKinds: readonly KindDefinition[] = [canaryKind, meshUpgradeKind, checkKind, freezeKind];

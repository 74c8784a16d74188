import { CsrfPolicySchema, type CsrfPolicy, type RuntimeFractionalPercent } from "../../../wire/envoy/index.ts";
import { CsrfSettings } from "../../filters/csrf-filter.ts";
import { checkFields, invalid, type ConfigNotes } from "../config-check.ts";
import { fractionOf } from "../fraction.ts";
import { compileString } from "../matchers/matcher-config.ts";

export function compileCsrf(message: CsrfPolicy, where: string, notes: ConfigNotes): CsrfSettings {
  checkFields(CsrfPolicySchema, message, where, notes, {
    used: ["filterEnabled", "shadowEnabled", "additionalOrigins"],
  });
  const { filterEnabled, shadowEnabled, additionalOrigins } = message;
  if (filterEnabled === undefined) throw invalid(where, "filterEnabled must be set");
  return new CsrfSettings({
    enabled: enabledFraction(filterEnabled, `${where}: filterEnabled`),
    shadowed: shadowEnabled === undefined ? 0 : enabledFraction(shadowEnabled, `${where}: shadowEnabled`),
    otherOrigins: additionalOrigins.map((origin) => compileString(origin, `${where}: additionalOrigins`)),
  });
}

function enabledFraction({ defaultValue }: RuntimeFractionalPercent, where: string): number {
  if (defaultValue === undefined) throw invalid(where, "defaultValue must be set");
  return fractionOf(defaultValue, 0);
}

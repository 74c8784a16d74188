import { RouteAction_HashPolicySchema, type RouteAction_HashPolicy } from "../../../wire/envoy/index.ts";
import type { HashPolicy } from "../../routing/hash-policy.ts";
import { checkFields, durationOr, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileReplacement } from "../matchers/regex.ts";

export function compileHashPolicy(message: RouteAction_HashPolicy, where: string, notes: ConfigNotes): HashPolicy {
  const here = `${where}: hashPolicy`;
  checkFields(RouteAction_HashPolicySchema, message, here, notes, {
    used: ["header", "cookie", "connectionProperties", "queryParameter", "terminal"],
  });
  const { terminal, policySpecifier } = message;
  switch (policySpecifier.case) {
    case "header": {
      const { headerName, regexRewrite } = policySpecifier.value;
      const rewrite =
        regexRewrite === undefined
          ? undefined
          : compileReplacement(regexRewrite.pattern?.regex ?? "", regexRewrite.substitution, here);
      return { terminal, kind: "header", name: headerName.toLowerCase(), rewrite };
    }
    case "cookie": {
      const { name, path, ttl, attributes } = policySpecifier.value;
      return {
        terminal,
        kind: "cookie",
        name,
        path,
        ttlSeconds: ttl === undefined ? undefined : Math.round(durationOr(ttl, 0) / 1000),
        attributes: attributes.map((attribute) =>
          attribute.value === "" ? attribute.name : `${attribute.name}=${attribute.value}`,
        ),
      };
    }
    case "queryParameter":
      return { terminal, kind: "query", name: policySpecifier.value.name };
    case "connectionProperties":
      if (!policySpecifier.value.sourceIp) throw unsupported(here, "connectionProperties without sourceIp");
      return { terminal, kind: "source-ip" };
    default:
      throw unsupported(here, policySpecifier.case ?? "an empty policy");
  }
}

import { create } from "@bufbuild/protobuf";
import {
  HttpRbacSchema,
  PermissionSchema,
  PrincipalSchema,
  RBACSchema,
  RBAC_Action,
  type HttpRbac,
  type Permission,
  type Principal,
  type RBAC,
  type RbacPolicy,
} from "../../../wire/envoy/index.ts";

const externalPrefix = "istio_ext_authz_";

/**
 * The rules of an RBAC filter as gRPC servers enforce them. Undefined if nothing is enforced.
 *
 * gRPC ignores or refuses conditions that it does not know. So an ALLOW rule with such a condition never matches here,
 * and a DENY rule matches without the condition. Rules that select requests for an external authorizer deny them,
 * because gRPC does not support one.
 */
export function grpcRbac({ rules, shadowRules, shadowRulesStatPrefix }: HttpRbac): HttpRbac | undefined {
  const enforced = rules ?? (shadowRulesStatPrefix === externalPrefix ? shadowRules : undefined);
  if (enforced === undefined || enforced.action === RBAC_Action.LOG) return undefined;
  return create(HttpRbacSchema, {
    rules: enforced.action === RBAC_Action.ALLOW ? allowed(enforced) : denied(enforced),
  });
}

function allowed({ action, policies }: RBAC): RBAC {
  const isKnown = ({ permissions, principals }: RbacPolicy): boolean =>
    permissions.every(isKnownPermission) && principals.every(isKnownPrincipal);
  return create(RBACSchema, {
    action,
    policies: Object.fromEntries(Object.entries(policies).filter(([, policy]) => isKnown(policy))),
  });
}

function denied({ action, policies }: RBAC): RBAC {
  const written = Object.entries(policies).map(([name, { permissions, principals }]) => [
    name,
    { permissions: permissions.map(knownPermission), principals: principals.map(knownPrincipal) },
  ]);
  return create(RBACSchema, { action, policies: Object.fromEntries(written) });
}

function knownPermission(permission: Permission): Permission {
  if (isKnownPermission(permission)) return permission;
  const { rule } = permission;
  const rules = rule.case === "andRules" ? rule.value.rules.filter(isKnownPermission) : [];
  return create(PermissionSchema, {
    rule: rules.length === 0 ? { case: "any", value: true } : { case: "andRules", value: { rules } },
  });
}

function knownPrincipal(principal: Principal): Principal {
  if (isKnownPrincipal(principal)) return principal;
  const { identifier } = principal;
  const ids = identifier.case === "andIds" ? identifier.value.ids.filter(isKnownPrincipal) : [];
  return create(PrincipalSchema, {
    identifier: ids.length === 0 ? { case: "any", value: true } : { case: "andIds", value: { ids } },
  });
}

function isKnownPermission({ rule }: Permission): boolean {
  switch (rule.case) {
    case "andRules":
    case "orRules":
      return rule.value.rules.every(isKnownPermission);
    case "notRule":
      return isKnownPermission(rule.value);
    case "header":
      return isKnownHeader(rule.value.name);
    case "any":
    case "urlPath":
    case "destinationIp":
    case "destinationPort":
      return true;
    default:
      return false;
  }
}

function isKnownPrincipal({ identifier }: Principal): boolean {
  switch (identifier.case) {
    case "andIds":
    case "orIds":
      return identifier.value.ids.every(isKnownPrincipal);
    case "notId":
      return isKnownPrincipal(identifier.value);
    case "header":
      return isKnownHeader(identifier.value.name);
    case "any":
    case "authenticated":
    case "directRemoteIp":
    case "remoteIp":
      return true;
    default:
      return false;
  }
}

/**
 * Whether gRPC supports conditions on the header. For a condition on any other header, it refuses the whole listener.
 */
function isKnownHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return lower !== ":scheme" && !lower.startsWith("grpc-");
}

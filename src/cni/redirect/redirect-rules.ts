import { userError } from "../../base/index.ts";
import { action, isSystemCode, match, NftNetlink, NftTransaction, type NftExpression } from "../../net/index.ts";
import { addMarkRoutes, removeMarkRoutes } from "../mark-routes.ts";
import {
  markMask,
  redirectChains,
  redirectTable,
  transparentMark,
  transparentTable,
  type RedirectVerdict,
  type RedirectCondition,
  type RedirectRule,
} from "./redirect-rule.ts";

const transparentRoutes = {
  mark: transparentMark,
  markMask,
  table: transparentTable,
  priority: 32_765,
} as const;

/**
 * Writes the rules in one transaction, and removes the rules of earlier runs. They apply in the given network
 * namespace, or in that of this process.
 */
export function applyRedirect(rules: readonly RedirectRule[], namespaceFd?: number): void {
  const transparent = rules.some(({ verdict }) => verdict.kind === "intercept");
  if (transparent) addMarkRoutes(transparentRoutes, namespaceFd);
  const transaction = new NftTransaction();
  const table = transaction.table("inet", redirectTable).replace();
  for (const [name, chain] of Object.entries(redirectChains))
    if (chain.type === "nat" || transparent) table.addChain(name, chain);
  for (const rule of rules) table.addRule(rule.chain, ...rule.when.map(conditionOf), verdictOf(rule.verdict));
  using nft = new NftNetlink(namespaceFd);
  try {
    nft.commit(transaction);
  } catch (error) {
    if (!transparent || !isSystemCode(error, "ENOENT")) throw error;
    throw userError("unsupported", "mode TPROXY needs nft_tproxy in the node's kernel", {
      cause: error,
      hint: "run `modprobe nft_tproxy` on the node, or use interception mode REDIRECT",
    });
  }
  if (!transparent) removeMarkRoutes(transparentRoutes, namespaceFd);
}

export function removeRedirect(namespaceFd?: number): void {
  using nft = new NftNetlink(namespaceFd);
  if (!nft.hasTable("inet", redirectTable)) return;
  const transaction = new NftTransaction();
  transaction.table("inet", redirectTable).delete();
  nft.commit(transaction);
  removeMarkRoutes(transparentRoutes, namespaceFd);
}

export function hasRedirect(namespaceFd?: number): boolean {
  using nft = new NftNetlink(namespaceFd);
  return nft.hasTable("inet", redirectTable);
}

function verdictOf(verdict: RedirectVerdict): readonly NftExpression[] {
  switch (verdict.kind) {
    case "pass":
      return [action.accept()];
    case "drop":
      return [action.drop()];
    case "redirect":
      return action.redirect(verdict.port);
    case "intercept":
      return [...action.transparentProxy(verdict.port), ...action.setMark(verdict.mark, markMask), action.accept()];
    case "mark":
      return [...action.setMark(verdict.mark, markMask), action.accept()];
    case "mark-connection":
      return [...action.setConnectionMark(verdict.mark, markMask), action.accept()];
  }
}

function conditionOf(condition: RedirectCondition): NftExpression[] {
  const options = { not: "not" in condition && condition.not === true };
  switch (condition.kind) {
    case "protocol":
      return match.protocol(condition.protocol);
    case "port":
      return match.destinationPort(condition.port, options);
    case "source":
      return match.source(condition.range, options);
    case "destination":
      return match.destination(condition.range, options);
    case "input":
      return match.inputInterface(condition.interface);
    case "output":
      return match.outputInterface(condition.interface);
    case "uid":
      return match.socketUid(condition.id);
    case "gid":
      return match.socketGid(condition.id);
    case "mark":
      return match.mark(condition.mark, markMask);
    case "connection-mark":
      return match.connectionMark(condition.mark, markMask);
    case "opener":
      return match.fromOpener();
    case "start":
      return match.connectionStart();
  }
}

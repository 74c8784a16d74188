import { action, match, NftNetlink, NftTransaction, type NftExpression } from "../../net/index.ts";
import { proxyMark, redirectTable, type RedirectCondition, type RedirectRule } from "./redirect-plan.ts";

const dstnatPriority = -100;

/** Replaces the rules of earlier runs in one transaction, in a network namespace or in this process's own. */
export function applyRedirect(rules: readonly RedirectRule[], namespaceFd?: number): void {
  const transaction = new NftTransaction();
  const table = transaction
    .table("inet", redirectTable)
    .replace()
    .addChain("prerouting", { type: "nat", hook: "prerouting", priority: dstnatPriority })
    .addChain("output", { type: "nat", hook: "output", priority: dstnatPriority });
  for (const rule of rules)
    table.addRule(
      rule.chain,
      ...rule.when.map(expressionsOf),
      rule.to === undefined ? action.accept() : action.redirect(rule.to),
    );
  using nft = new NftNetlink(namespaceFd);
  nft.commit(transaction);
}

/** Removes the redirect. Does nothing if there is none. */
export function removeRedirect(namespaceFd?: number): void {
  using nft = new NftNetlink(namespaceFd);
  if (!nft.tables("inet").includes(redirectTable)) return;
  const transaction = new NftTransaction();
  transaction.table("inet", redirectTable).delete();
  nft.commit(transaction);
}

export function hasRedirect(namespaceFd?: number): boolean {
  using nft = new NftNetlink(namespaceFd);
  return nft.tables("inet").includes(redirectTable);
}

function expressionsOf(condition: RedirectCondition): NftExpression[] {
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
      return match.mark(proxyMark.value, proxyMark.mask);
  }
}

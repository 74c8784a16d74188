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

/**
 * Formats the rules in the syntax of nft(8). The routes that they need come first, as comments in the syntax of ip(8).
 */
export function describeRedirect(rules: readonly RedirectRule[]): string {
  const chains = Object.entries(redirectChains).map(([name, { type, hook, priority }]) => {
    const lines = rules
      .filter(({ chain }) => chain === name)
      .map(({ when, verdict }) => `    ${[...when.map(describeCondition), describeVerdict(verdict)].join(" ")}\n`);
    if (lines.length === 0 && type !== "nat") return "";
    return `  chain ${name} {\n    type ${type} hook ${hook} priority ${priority};\n${lines.join("")}  }\n`;
  });
  const transparent = rules.some(({ verdict }) => verdict.kind === "intercept");
  return `${transparent ? routes : ""}table inet ${redirectTable} {\n${chains.join("")}}\n`;
}

const routes = `# ip rule add fwmark ${hex(transparentMark)}/${hex(markMask)} lookup ${transparentTable}
# ip route add local default dev lo table ${transparentTable}
`;

function describeVerdict(verdict: RedirectVerdict): string {
  switch (verdict.kind) {
    case "pass":
      return "accept";
    case "drop":
      return "drop";
    case "redirect":
      return `redirect to :${verdict.port}`;
    case "intercept":
      return `tproxy to :${verdict.port} ${settingOf("meta", verdict.mark)} accept`;
    case "mark":
      return `${settingOf("meta", verdict.mark)} accept`;
    case "mark-connection":
      return `${settingOf("ct", verdict.mark)} accept`;
  }
}

function settingOf(what: "meta" | "ct", mark: number): string {
  return `${what} mark set ${what} mark and ${hex(~markMask >>> 0)} or ${hex(mark)}`;
}

function describeCondition(condition: RedirectCondition): string {
  const unless = "not" in condition && condition.not === true ? "!= " : "";
  switch (condition.kind) {
    case "protocol":
      return `meta l4proto ${condition.protocol}`;
    case "port":
      return `th dport ${unless}${condition.port}`;
    case "source":
    case "destination":
      return `${condition.range.includes(":") ? "ip6" : "ip"} ${condition.kind === "source" ? "saddr" : "daddr"} ${unless}${condition.range}`;
    case "input":
      return `iifname "${condition.interface}"`;
    case "output":
      return `oifname "${condition.interface}"`;
    case "uid":
      return `meta skuid ${condition.id}`;
    case "gid":
      return `meta skgid ${condition.id}`;
    case "mark":
      return `meta mark and ${hex(markMask)} == ${hex(condition.mark)}`;
    case "connection-mark":
      return `ct mark and ${hex(markMask)} == ${hex(condition.mark)}`;
    case "opener":
      return "ct direction original";
    case "start":
      return "tcp flags & (fin | syn | rst | ack) == syn";
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

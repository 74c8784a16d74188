import { proxySections, rolloutActions, seriesMeasures, type ConfigMessage } from "../../../api/dashboard/index.ts";
import type { Clock } from "../../../base/index.ts";
import type { AuditLog } from "../audit-log.ts";
import { refusal } from "../../problem.ts";
import type { RequestHandlers } from "../requests/request-handlers.ts";

const maxYamlLength = 1 << 20;

interface Given {
  readonly clock: Clock;
  readonly audit: AuditLog;
}

/**
 * Handlers for a synthetic mesh. A YAML that contains `wrong` gets a message at that line, and one that contains
 * `conflict` is refused.
 */
export function syntheticHandlers({ clock, audit }: Given): RequestHandlers {
  return {
    ...measuring(clock),
    ...inspecting,
    ...editing(audit),
    "POST /api/action": async (fields, { user }) => {
      const action = fields.oneOf("action", rolloutActions);
      const what = `${action} ${fields.oneOf("kind", ["Canary", "MeshUpgrade"])} ${fields.text("namespace")}/${fields.requiredText("name")}`;
      audit.record({ user, what, result: "done", detail: fields.text("why", 1_000) });
      return await Promise.resolve({ done: what });
    },
    "GET /api/audit": async () => await Promise.resolve({ records: audit.records(() => true) }),
  };
}

function measuring(clock: Clock): Pick<RequestHandlers, "GET /api/series"> {
  return {
    "GET /api/series": async (fields) => {
      const share = fields.oneOf("measure", seriesMeasures) === "errorShare";
      const toMs = fields.integer("toMs", 0, Number.MAX_SAFE_INTEGER, 0) || clock.nowMs();
      const fromMs = fields.integer("fromMs", 0, toMs, toMs - 600_000);
      const points = fields.integer("points", 2, 1_000, 60);
      const timesMs = Array.from({ length: points }, (_unused, index) =>
        Math.round(fromMs + ((toMs - fromMs) * index) / (points - 1)),
      );
      return await Promise.resolve({
        timesMs,
        values: timesMs.map((atMs, index) =>
          index === 7 ? null : (50 + 20 * Math.sin(atMs / 30_000)) * (share ? 0.001 : 1),
        ),
      });
    },
  };
}

const inspecting: Pick<RequestHandlers, "GET /api/logs" | "GET /api/proxy"> = {
  "GET /api/logs": async (fields) => {
    const pod = fields.requiredText("pod");
    const lines = fields.integer("tailLines", 1, 5_000, 500);
    return await Promise.resolve({
      text: Array.from(
        { length: lines },
        (_unused, index) =>
          `2026-01-01T00:00:${String(index % 60).padStart(2, "0")}Z info ${pod} answered request ${index}`,
      ).join("\n"),
      truncated: true,
    });
  },
  "GET /api/proxy": async (fields) => {
    const section = fields.oneOf("section", proxySections);
    const rows = Array.from({ length: 25 }, (_unused, index) => [
      `checkout-${index}.shop.svc.cluster.local`,
      "80",
      "outbound",
      "EDS",
    ]);
    return await Promise.resolve({
      columns: ["NAME", "PORT", "DIRECTION", "TYPE"],
      rows,
      details: rows.map(([name = ""]) => `section: ${section}\nname: ${name}\n`),
      truncated: false,
    });
  },
};

function editing(
  audit: AuditLog,
): Pick<RequestHandlers, "POST /api/validate" | "POST /api/what-if" | "POST /api/apply"> {
  return {
    "POST /api/validate": async (fields) =>
      await Promise.resolve({ messages: messagesOf(fields.text("yaml", maxYamlLength)) }),
    "POST /api/what-if": async (fields) => {
      const messages = messagesOf(fields.text("yaml", maxYamlLength));
      const proxies = [
        {
          proxy: "cart-v1-7d4b9",
          namespace: "shop",
          type: "sidecar",
          changes: [
            {
              resource: "Route 80",
              change: "changed" as const,
              difference: "checkout.shop.svc.cluster.local:80: weights 80/20 -> 50/50",
            },
          ],
        },
      ];
      return await Promise.resolve({
        messages,
        proxies: messages.length > 0 ? [] : proxies,
        compared: 40,
        incomplete: "",
      });
    },
    "POST /api/apply": async (fields, { user }) => {
      const yaml = fields.requiredText("yaml", maxYamlLength);
      if (yaml.includes("conflict"))
        throw refusal(
          "conflict",
          "VirtualService shop/checkout was changed by somebody else",
          "load it again, and edit that",
        );
      const dryRun = fields.flag("dryRun");
      if (!dryRun) audit.record({ user, what: "apply VirtualService shop/checkout", result: "done", detail: "" });
      return await Promise.resolve({
        applied: ["VirtualService shop/checkout"],
        warnings: dryRun ? ["nothing was written"] : [],
      });
    },
  };
}

function messagesOf(yaml: string): ConfigMessage[] {
  return yaml.split("\n").flatMap((line, index) =>
    line.includes("wrong")
      ? [
          {
            code: "IST0101",
            level: "Error",
            message: 'Referenced host not found: "wrong"',
            path: "spec.host",
            line: index + 1,
            column: line.indexOf("wrong") + 1,
          },
        ]
      : [],
  );
}

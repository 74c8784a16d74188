/** Requests bookinfo's page every 50 ms until it is complete. */
const script = `
const [url] = process.argv.slice(1);
const ask = () => {
  let page = "";
  const request = require("node:http").get(url, { agent: false, timeout: 5000 }, (answer) => {
    answer.setEncoding("utf8").on("data", (part) => (page += part));
  });
  request.on("timeout", () => request.destroy()).on("error", () => undefined);
  request.on("close", () => {
    if (!page.includes("Reviews served by:")) setTimeout(ask, 50);
  });
};
ask();
`;

/**
 * Returns the command that ends when the gateway answers with the page. One process sends all requests, because a
 * process for each request would take processor time from the pods that start.
 */
export function untilPage(gatewayAddress: string): string[] {
  return [process.execPath, "-e", script, `http://${gatewayAddress}/productpage`];
}

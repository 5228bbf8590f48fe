import { errorOf } from "./errors";

export type State = "connecting" | "question-open" | "there" | "missing" | "dismissed" | "denied";
type Permission = "granted" | "prompt" | "denied" | "unknown";

// pendingAfter is when a socket that neither opens nor fails means that the
// browser is asking the person, in milliseconds; a closed port fails in a few.
const pendingAfter = 1500;

// permission asks the browser; its name changed between versions, and a name
// that is unknown throws.
async function permission(): Promise<Permission> {
  for (const name of ["loopback-network", "local-network-access"]) {
    try {
      return (await navigator.permissions.query({ name: name as PermissionName })).state;
    } catch {
      // another browser or version
    }
  }
  return "unknown";
}

// open tries all ports side by side, with no request before: the browser then
// asks the person once. The sockets decide, the permission only explains. How it ended
// is the error's code; the caller tells the state, for there may be another way.
export function open(ports: number[], onState: (s: State) => void, signal?: AbortSignal): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const began = Date.now();
    const sockets = new Set<WebSocket>();
    let failed = 0;
    let asked = false;
    let over = false;
    const end = (keep?: WebSocket): void => {
      over = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      for (const s of sockets) if (s !== keep) s.close();
    };
    const abort = (): void => {
      end();
      reject(errorOf("cancelled"));
    };
    const timer = setTimeout(async () => {
      const p = await permission();
      if (!over && p !== "granted" && p !== "denied") {
        asked = true;
        onState("question-open");
      }
    }, pendingAfter);
    const explain = async (): Promise<void> => {
      end();
      const p = await permission();
      if (p === "denied") reject(errorOf("permission-denied"));
      else if (asked && p === "prompt" && Date.now() - began > pendingAfter) reject(errorOf("permission-dismissed"));
      else reject(errorOf("agent-missing"));
    };
    onState("connecting");
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort);
    const lost = (): void => {
      if (++failed === ports.length && !over) void explain();
    };
    for (const port of ports) {
      let s: WebSocket;
      try {
        s = new WebSocket(`ws://127.0.0.1:${port}/`, "citel.v1");
      } catch {
        lost();
        continue;
      }
      s.binaryType = "arraybuffer";
      sockets.add(s);
      s.onerror = lost;
      s.onopen = () => {
        if (over) return s.close();
        end(s);
        resolve(s);
      };
    }
  });
}

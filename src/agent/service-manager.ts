// Tells systemd how the agent is doing (sd_notify(3)), where a unit of Type=notify started it.
import { execa } from 'execa';

/** `READY=1`, `STOPPING=1`, `STATUS=...`. Does nothing outside a service; never throws. */
export async function notifyServiceManager(...states: readonly string[]): Promise<void> {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  // The notification comes from a child, so the unit needs NotifyAccess=all.
  await execa('systemd-notify', states, { reject: false });
}

"""What numbers in event logs mean to a reader: kinds of events, of logons, levels; and how an event is told.

Source: Microsoft, "Appendix L: Events to Monitor" and the event reference of Windows Server 2022;
[MS-EVEN6] 2.2.1 (levels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

LEVELS: Final = {1: "critical", 2: "error", 3: "warning", 4: "information", 5: "verbose"}
LOGON_TYPES: Final = {
    "0": "system",
    "2": "interactive",
    "3": "network",
    "4": "batch",
    "5": "service",
    "7": "unlock",
    "8": "network, clear text",
    "9": "new credentials",
    "10": "remote interactive",
    "11": "cached interactive",
    "12": "cached remote interactive",
    "13": "cached unlock",
}
_SESSIONS: Final = "TerminalServices-LocalSessionManager"
_CONNECTIONS: Final = "TerminalServices-RemoteConnectionManager"
_CLIENT: Final = "TerminalServices-ClientActiveXCore"
_SECURITY: Final = "Security-Auditing"
_NAMES: Final = {
    ("Eventlog", 1102): "audit log cleared",
    ("Eventlog", 104): "log cleared",
    ("EventLog", 6005): "event log started",
    ("EventLog", 6006): "event log stopped",
    ("EventLog", 6008): "unexpected shutdown",
    ("EventLog", 6013): "uptime",
    ("Kernel-General", 1): "system time changed",
    ("Kernel-General", 12): "system started",
    ("Kernel-General", 13): "system stopping",
    ("Kernel-Power", 41): "restarted without clean shutdown",
    ("USER32", 1074): "shutdown or restart asked for",
    ("Service Control Manager", 7045): "service installed",
    ("Service Control Manager", 7036): "service changed state",
    ("Service Control Manager", 7040): "service start type changed",
    ("TaskScheduler", 106): "task registered",
    ("TaskScheduler", 140): "task updated",
    ("TaskScheduler", 141): "task deleted",
    ("TaskScheduler", 200): "task action started",
    ("TaskScheduler", 201): "task action completed",
    ("PowerShell", 4104): "script block",
    ("PowerShell", 4103): "command run",
    (_SESSIONS, 21): "remote desktop: session logon",
    (_SESSIONS, 22): "remote desktop: shell started",
    (_SESSIONS, 23): "remote desktop: session logoff",
    (_SESSIONS, 24): "remote desktop: session disconnected",
    (_SESSIONS, 25): "remote desktop: session reconnected",
    (_SESSIONS, 39): "remote desktop: session disconnected by another session",
    (_SESSIONS, 40): "remote desktop: session disconnected, with a reason",
    (_CONNECTIONS, 261): "remote desktop: connection received",
    (_CONNECTIONS, 1149): "remote desktop: user authenticated",
    (_CLIENT, 1024): "remote desktop: connecting to a server",
    (_CLIENT, 1102): "remote desktop: connecting to an address",
    ("RemoteDesktopServices-RdpCoreTS", 131): "remote desktop: connection accepted",
    ("Partition", 1006): "disk attached or removed",
    ("DriverFrameworks-UserMode", 2003): "device attached",
    ("DriverFrameworks-UserMode", 2102): "device removed",
    (_SECURITY, 4608): "system started",
    (_SECURITY, 4616): "system time changed",
    (_SECURITY, 4624): "logon",
    (_SECURITY, 4625): "logon failed",
    (_SECURITY, 4634): "logoff",
    (_SECURITY, 4647): "logoff asked for",
    (_SECURITY, 4648): "logon with explicit credentials",
    (_SECURITY, 4656): "handle to an object requested",
    (_SECURITY, 4657): "registry value changed",
    (_SECURITY, 4660): "object deleted",
    (_SECURITY, 4663): "object accessed",
    (_SECURITY, 4672): "special privileges given at logon",
    (_SECURITY, 4688): "process created",
    (_SECURITY, 4689): "process ended",
    (_SECURITY, 4697): "service installed",
    (_SECURITY, 4698): "task created",
    (_SECURITY, 4699): "task deleted",
    (_SECURITY, 4700): "task enabled",
    (_SECURITY, 4701): "task disabled",
    (_SECURITY, 4702): "task updated",
    (_SECURITY, 4719): "audit policy changed",
    (_SECURITY, 4720): "account created",
    (_SECURITY, 4722): "account enabled",
    (_SECURITY, 4723): "password change tried",
    (_SECURITY, 4724): "password reset",
    (_SECURITY, 4725): "account disabled",
    (_SECURITY, 4726): "account deleted",
    (_SECURITY, 4728): "member added to a global group",
    (_SECURITY, 4732): "member added to a local group",
    (_SECURITY, 4733): "member removed from a local group",
    (_SECURITY, 4738): "account changed",
    (_SECURITY, 4740): "account locked out",
    (_SECURITY, 4768): "ticket-granting ticket requested",
    (_SECURITY, 4769): "service ticket requested",
    (_SECURITY, 4771): "Kerberos pre-authentication failed",
    (_SECURITY, 4776): "credentials checked",
    (_SECURITY, 4778): "session reconnected",
    (_SECURITY, 4779): "session disconnected",
    (_SECURITY, 4781): "account renamed",
    (_SECURITY, 4800): "workstation locked",
    (_SECURITY, 4801): "workstation unlocked",
    (_SECURITY, 5140): "network share accessed",
    (_SECURITY, 5145): "file on a network share accessed",
    ("Security", 528): "logon",
    ("Security", 529): "logon failed: unknown user or wrong password",
    ("Security", 538): "logoff",
    ("Security", 540): "network logon",
    ("Security", 551): "logoff asked for",
    ("Security", 552): "logon with explicit credentials",
    ("Security", 592): "process created",
    ("Security", 624): "account created",
    ("Security", 682): "session reconnected",
    ("Security", 683): "session disconnected",
}
_USERS: Final = ("TargetUserName", "User", "UserName", "AccountName", "Param1")
_DOMAINS: Final = ("TargetDomainName", "Domain", "DomainName", "AccountDomain", "Param2")
_ADDRESSES: Final = ("IpAddress", "Address", "ClientAddress", "ClientIP", "SourceNetworkAddress", "Param3")
_MACHINES: Final = ("WorkstationName", "Workstation", "ClientName", "TargetServerName")
_NOTHING: Final = ("", "-", "LOCAL", "::", "0.0.0.0")  # noqa: S104 - what an event holds in place of an address


def name_event(provider: str, number: int) -> str:
    """What an event is about, in our words; empty where we have none."""
    short = provider.removeprefix("Microsoft-Windows-")
    return _NAMES.get((short, number), "")


def tell_logon(name: str, data: Sequence[tuple[str, str]]) -> str:
    """Who, from where, and how, of an event about an account or a session; empty for other events."""
    if not any(word in name for word in ("logon", "logoff", "remote desktop", "session", "credentials", "ticket")):
        return ""
    held: Mapping[str, str] = {key: value for key, value in reversed(data) if value.strip() not in _NOTHING}
    user, domain = _first(held, _USERS), _first(held, _DOMAINS)
    parts = [f"user {domain}\\{user}" if domain and user and "\\" not in user else f"user {user}" if user else ""]
    address, machine = _first(held, _ADDRESSES), _first(held, _MACHINES)
    parts.append(f"from {address}" if address else "")
    parts.append(f"machine {machine}" if machine else "")
    if kind := held.get("LogonType", ""):
        parts.append(f"logon type {kind} ({LOGON_TYPES.get(kind, 'unknown')})")
    return ", ".join(part for part in parts if part)


def _first(held: Mapping[str, str], names: Sequence[str]) -> str:
    return next((held[name].strip() for name in names if name in held), "")

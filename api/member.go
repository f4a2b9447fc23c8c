package api

func (a *API) memberEndpoints() []endpoint {
	return nil
}
